"""Faults on purpose: what really broke a summariser, brought about where the project itself no longer lets it happen.

Nothing of the project imports this folder; configs/case_study/ and the tests choose from it by class path.
"""
