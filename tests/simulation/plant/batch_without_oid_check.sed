# service/drop_steps.c
# R5: from the second transaction on the name is trusted.
s/if (oid \&\& !strcmp(oid, drop->schema->oid))/if (oid \&\& (drop->torn || !strcmp(oid, drop->schema->oid)))/
