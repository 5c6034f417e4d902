"""One file per migration; its revision is `NNNN_since_MMMM` (see `app.storage.schema`)."""
