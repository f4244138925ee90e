"""The page about what really broke the seed's model: docs/case_study.md, made from what its runs recorded."""
