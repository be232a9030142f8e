# service/leases.c
# An Attach is answered before the ledger has the member.
s/if (member->is_on_disk)/if (member)/
