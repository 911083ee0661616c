"""The catalog in SQL: tables, migrations, the statements that read and write them, the ledger of index versions."""
