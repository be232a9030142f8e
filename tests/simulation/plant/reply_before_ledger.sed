# service/lease_grant.c
# I7: granted is said before the disk has it.
s/ledger->ops->submit(ledger, &change, on_granted, record->leases, (uint64_t)record->lease.id);/ledger->ops->submit(ledger, \&change, NULL, NULL, 0);\n        on_granted(record->leases, (uint64_t)record->lease.id, 0);/
