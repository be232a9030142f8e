# service/lease_members.c
# §4.2, C1: a vanished process alone is taken for death; a child holds its socket.
/^static bool is_carried/,/^}/s/if (!has_left(&record->lease.members\[i\]))/if (!record->lease.members[i].gone)/
