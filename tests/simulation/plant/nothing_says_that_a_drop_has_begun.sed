# service/drop_pieces.c
# A crash in the first piece's COMMIT: the list was made before it, and the claim is freed after it.
s/if (!drop->marked)/if (false)/
