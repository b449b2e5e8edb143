"""The record: one keyed hash chain of audit events per virtual instance."""
