"""Data: where a corpus is, what of it is usable, how it becomes batches."""
