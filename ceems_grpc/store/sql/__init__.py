"""Compiles plans to SQL. Every engine has one compiler, which overrides only what its SQL writes differently.

Each file adds one idea to the class of the previous file: `statement` (names and parameters), `conditions`,
`measures`, `base` (plans). `columns` is for engines with the column layout of `ceems_grpc.store.columnar`.
"""
