"""Schema changes, oldest first, in ``versions``. There is no alembic.ini and no env.py: :mod:`connector.state.schema` runs them."""
