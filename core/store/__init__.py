"""The store: one SQLite file, and the only SQL in the house.

The law: `writer.Writer` alone changes the database, `reader.Reader` alone answers questions, and nothing
outside this package knows a table. Import the two from their modules, so that a program which only reads
never loads the code that writes.
"""

__all__: list[str] = []
