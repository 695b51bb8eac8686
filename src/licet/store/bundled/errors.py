"""What can go wrong with the bundled PostgreSQL, told to the person at the keyboard."""


class BundledError(RuntimeError):
    """The bundled PostgreSQL cannot run here; the message names the value, the rule and the way out."""


OWN_DATABASE = "or set LICET_DATABASE_URL to a PostgreSQL (15 or newer) of your own"
