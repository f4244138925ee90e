"""Figures and pages from recorded data; imports no training code."""
