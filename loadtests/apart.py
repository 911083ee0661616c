"""Where the stack of a load test keeps what is its own."""

from pathlib import Path

from deploy.settings import Settings


def apart(settings: Settings, folder: Path) -> Settings:
    """A data folder that shares no more than the models: keys and documents go with it."""
    models = settings.data.resolve() / "models"
    models.mkdir(parents=True, exist_ok=True)
    (folder / "models").symlink_to(models)
    return settings.model_copy(update={"data": folder})
