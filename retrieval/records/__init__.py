"""Records that are only ever added to: spooled on disk, moved into SQL, chained by digests, erasable by parts."""
