# service/drop_steps.c
# R5: the name is dropped, whatever schema has it now.
s/if (oid && !strcmp(oid, drop->schema->oid))/if (oid)/
