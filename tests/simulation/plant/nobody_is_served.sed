# service/lease_end.c
# Liveness: a place that has become free is offered to nobody.
s/^        lease_queue_advance(leases);//
