"""The LDAP connector: accounts as entries of a customer's directory; needs ``tempadmin[ldap]``."""
