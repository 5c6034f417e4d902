"""What Alembic runs: the migrations, on the connection and in the transaction of `app.storage.migrate`.

There is no `alembic.ini` and no other way in: the lock that lets one migrator at a time go on belongs to that
transaction.
"""

from alembic import context

from app.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
