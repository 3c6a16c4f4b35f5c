"""Arrays in, arrays out: the recurrence, the row-wise product, lookup and losses.

The only room that imports the native core; each op takes it where it is there and has the dtype,
and NumPy elsewhere.
"""
