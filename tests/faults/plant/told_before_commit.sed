# store/batch.c
# I7: the callers are told while the commit is still to come.
s/r = store_commit(writer->store);/succeed(writer);\n        r = store_commit(writer->store);/
