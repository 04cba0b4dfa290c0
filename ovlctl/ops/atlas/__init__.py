"""Whole trees as columns: the model that the explorer and the report page show."""
