-- sql/staging/queries.sql: one row per class and template
with synsets as (
    select wnid, name, lemmas, definition from raw.synsets
),

phrases as (
    select wnid, name, name || ' which is ' || definition as name_def, array_to_string(lemmas, ' or ') as lemmas,
    from synsets
),

final as (
    select
        wnid,
        unnest([
            {'template': 'name', 'query': name},
            {'template': 'name_def', 'query': name_def},
            {'template': 'lemmas', 'query': lemmas},
            {'template': 'a_photo_of_name', 'query': 'a photo of ' || name},
            {'template': 'a_photo_of_name_def', 'query': 'a photo of ' || name_def},
            {'template': 'a_clear_photo_of_name_def', 'query': 'a clear photo of ' || name_def},
            {'template': 'a_photo_of_lemmas', 'query': 'a photo of ' || lemmas},
        ], recursive := true),
    from phrases
)

select * from final
