"""What the author of a data source uses: the data source, queries, resources, streams, context and errors."""
