"""`laionet judge`: a sheet of a recipe's pictures, for people to say whether each shows its class."""

from pathlib import Path

from laionet_assets.assets.images import open_store
from laionet_assets.assets.judging import QUESTIONS
from laionet_assets.commands.published import open_published, published_views
from laionet_assets.errors import UserError
from laionet_assets.judging import Question, write_sheet
from laionet_assets.judging.sheet import PAGE, VERDICTS
from laionet_assets.pictures.reading import UnreadablePicture, read_picture
from laionet_assets.settings import load_settings
from laionet_assets.warehouse.warehouse import how_to_make

_TABLES = ("raw.synsets", "core.laionet", "core.image_labels")


def write_judges_sheet(
    recipe: str, folder: Path, *, config: Path | None = None, pictures: int = 200, judge: str = "judge"
) -> int:
    """Write a sheet of at most so many of a recipe's pictures, as many of each fifth by caption similarity.

    Returns how many are on it. Raises UserError for a recipe without pictures, and where the folder has verdicts.
    """
    settings = load_settings(config, check_files=False)
    known = [each.name for each in settings.recipes]
    if recipe not in known:
        raise UserError(f"RECIPE: found {recipe!r}, expected one of recipes: {', '.join(known)}")
    warehouse = open_published(config)
    missing = [name for name in _TABLES if not warehouse.is_published(name)]
    if missing:
        raise UserError(f"{', '.join(missing)} not there yet; run first: {how_to_make(*missing)}")
    with published_views(warehouse) as connection:
        rows = connection.execute(QUESTIONS, {"recipe": recipe, "pictures": pictures}).fetchall()
    if not rows:
        raise UserError(f"{recipe} has no picture that takes part: nothing to judge. Fetch pictures first: laionet run")
    store = open_store(settings, warehouse)
    contents = dict(store.contents(sorted({row[3] for row in rows})))
    questions, lost = [], 0
    for source, sample_id, wnid, sha256, name, definition in rows:
        content = contents.get(sha256)
        try:
            if not isinstance(content, bytes):
                raise UnreadablePicture(str(content))
            image = read_picture(content).image
        except UnreadablePicture:
            lost += 1
            continue
        questions.append(Question(recipe, source, sample_id, wnid, name, definition, image))
    write_sheet(folder, questions, judge=judge)
    print(f"{folder / PAGE}: {len(questions)} pictures of {recipe}")
    if lost:
        print(f"{lost} more were drawn and are not in the image store any more: not on the sheet")
    print(
        f"Write yes, no or unsure into the column verdict of {folder / VERDICTS}; then name that file under"
        f" `judgements` in {settings.config_path.name} and run: laionet run"
    )
    return len(questions)
