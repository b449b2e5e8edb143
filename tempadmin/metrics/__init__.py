"""What the service tells a Prometheus: figures that modules register, counted or read, in text; off unless enabled."""
