"""`app` for any WSGI host: the deployment that the `TOKENHOUSE_*` settings name."""

from app.factory import create_app

app = create_app()
