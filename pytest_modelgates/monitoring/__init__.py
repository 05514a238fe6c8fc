"""What watches the live model: its drift, and how far a candidate in shadow agrees with it.

Import from the module: nothing is exported here.
"""
