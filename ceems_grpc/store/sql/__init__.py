"""Compiles plans to SQL. Every engine has one compiler, which overrides only what its SQL has in another form.

Each file adds one idea to the class of the file before: `statement` (names and parameters), `conditions`, `measures`,
`base` (plans). `columns` is for the engines that keep the column layout of `ceems_grpc.store.columnar`.
"""
