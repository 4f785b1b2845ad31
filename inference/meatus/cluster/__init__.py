"""Cases shared by parts, processes of one machine, and the workers of a Dask cluster."""
