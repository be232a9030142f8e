# service/lease_members.c
# §4.2, C2: a closed connection alone is taken for death.
s/return !member->connection && member->gone;/return !member->connection;/
