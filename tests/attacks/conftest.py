"""What the attacks need beside the shared world: a server of one's own, and what must hold after each attack."""

from tests.attacks.good_conduct import standing as standing
from tests.attacks.one_step_away import signed_in as signed_in
from tests.databases import migrated_database

database_url = migrated_database
