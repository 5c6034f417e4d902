"""The front door for people: Flask, Jinja, cookies and forms. Programs come in through `app.endpoints`."""
