"""What an author of a data source touches: the data source itself, queries, resources, streams, context and errors."""
