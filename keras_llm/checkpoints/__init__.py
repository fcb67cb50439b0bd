"""Weights in and out of other libraries' files.

Which tensor of a file belongs to which variable is told here, by name; the models stand above and call it.
"""
