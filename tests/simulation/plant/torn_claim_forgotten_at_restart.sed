# service/sightings.c
# The same after a crash: what the schema says of itself is not looked at.
s/entry->sighting.torn = entry->sighting.claimed \&\& schema->begun;/entry->sighting.torn = false;/
