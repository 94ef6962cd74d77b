"""Operator tools: they check, measure and report, and deploy nothing by themselves."""
