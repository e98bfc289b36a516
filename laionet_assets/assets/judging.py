"""Stage predictions, what people say of labels: core.judgements, marts.label_errors; and which pictures they are asked
about.

Belongs here: strata of a recipe's pictures, rows into and out of `stats.noise`. Does not belong here: the sheet and its
file (`judging`), the rate of wrong labels (`stats.noise`), gaps without what is judged wrong (`noise`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby
from pathlib import Path

from laionet_assets.assets.alikeness import write_mappings
from laionet_assets.assets.local_files import contents_of
from laionet_assets.assets.steps import Step, Work
from laionet_assets.errors import UserError
from laionet_assets.judging import read_verdicts
from laionet_assets.settings import Settings
from laionet_assets.sqlmodels.loader import Project
from laionet_assets.stats.noise import Stratum, wrong_rate

ALL_JUDGES = "*"

STRATA = """
    select
        i.image_set as recipe,
        i.source,
        i.sample_id,
        i.wnid,
        i.sha256,
        ntile(5) over (partition by i.image_set order by l.similarity, i.source, i.sample_id, i.wnid) as stratum,
    from core.image_labels as i
    join core.laionet as l
        on l.recipe = i.image_set and l.source = i.source and l.sample_id = i.sample_id and l.wnid = i.wnid
    where i.is_admitted
"""
"""The pictures of every recipe that take part, in fifths by the similarity of their captions."""

QUESTIONS = f"""
    with strata as ({STRATA}),
    drawn as (
        select *, row_number() over (
            partition by stratum order by md5('20230627/judge/' || source || '/' || sample_id), source, sample_id, wnid
        ) as place
        from strata where recipe = $recipe
    ),
    chosen as (select * from drawn order by place, stratum limit $pictures)
    select c.source, c.sample_id, c.wnid, c.sha256, s.name, s.definition
    from chosen as c join raw.synsets as s using (wnid)
    order by md5('20230627/order/' || c.source || '/' || c.sample_id), c.source, c.sample_id, c.wnid
"""
"""A seeded draw of pictures, as many of each fifth, in an order that tells nothing of it. A larger draw has those of a
smaller one.
"""

_COUNTS = f"""
    with strata as ({STRATA}),
    single as (
        select recipe, source, sample_id, wnid, judge, verdict from core.judgements
    ),
    together as (
        select recipe, source, sample_id, wnid, '{ALL_JUDGES}' as judge,
            case sign(count_if(verdict = 'no') - count_if(verdict = 'yes'))
                when 1 then 'no' when -1 then 'yes' else 'unsure'
            end as verdict,
        from single group by all
    ),
    verdicts as (from single union all by name from together),
    judges as (select distinct recipe, judge from verdicts)
    select s.recipe, j.judge, s.stratum, count(*), count_if(v.verdict = 'yes'), count_if(v.verdict = 'no'),
        count_if(v.verdict = 'unsure')
    from strata as s
    join judges as j using (recipe)
    left join verdicts as v using (recipe, source, sample_id, wnid, judge)
    group by all order by all
"""


def steps(settings: Settings, project: Project) -> Mapping[str, Step]:
    """The steps of the two tables."""
    files = [Path(settings.resolve(path)) for path in settings.judgements]
    recipes = frozenset(recipe.name for recipe in settings.recipes)
    return {
        "core.judgements": Step(
            model=project.models["core.judgements"],
            write=partial(_write_judgements, files, recipes),
            settings=(repr(sorted(recipes)),),
            outside=contents_of({"judgements": files}),
        ),
        "marts.label_errors": Step(model=project.models["marts.label_errors"], write=_write_errors),
    }


def _write_judgements(files: Sequence[Path], recipes: frozenset[str], work: Work) -> None:
    """Every verdict of every file. Raises UserError where a judge judges a picture twice."""
    said: dict[tuple[str, str, int, str, str], str] = {}
    rows = []
    for file in files:
        for each in read_verdicts(file, recipes):
            key = (each.recipe, each.source, each.sample_id, each.wnid, each.judge)
            here = f"{file}, line {each.line}"
            if key in said:
                raise UserError(
                    f"judgements {here}: found a second verdict of the judge on this picture and class, after"
                    f" {said[key]}; expected one: name each judge otherwise, or take one line out"
                )
            said[key] = here
            rows.append({name: value for name, value in asdict(each).items() if name != "line"})
    work.write_rows(rows)


def _write_errors(work: Work) -> None:
    """The rate of wrong labels of each recipe, by each judge and by all of them."""
    counted = work.connection.execute(_COUNTS).fetchall()
    rows = []
    for (recipe, judge), group in groupby(counted, key=lambda row: row[:2]):
        strata = [Stratum(*row[3:]) for row in group]
        found = wrong_rate(strata)
        if not found.judged + found.unsure:
            continue
        rows.append(
            {
                "recipe": recipe,
                "judge": judge,
                "pictures": sum(each.rows for each in strata),
                "judged": found.judged,
                "wrong": sum(each.wrong for each in strata),
                "unsure": found.unsure,
                "error_rate": found.rate,
                "ci_low": found.low,
                "ci_high": found.high,
                "coverage": found.coverage,
            }
        )
    write_mappings(work, rows)
