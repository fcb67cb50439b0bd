"""The models that everything else is measured against."""
