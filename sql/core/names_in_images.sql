-- core.names_in_images: one row per sample that is asked for (and not removed) and class of its caption
with candidates as (
    select distinct source, part, sample_id, wnid from core.candidates
),

images as (
    select source, part, sample_id, case when status = 'success' then sha256 end as sha256
    from core.images
    where status <> 'removed'
),

texts as (
    select source, part, sha256, text, spaced_words(text) as words from core.image_text
),

classes as (
    select wnid, name, spellings(lemmas) as spellings from raw.synsets
),

final as (
    select
        c.source,
        c.part,
        c.sample_id,
        c.wnid,
        says_name(t.text, s.name) as has_name_paper,
        says_any(t.words, s.spellings) as has_name_corrected,
    from candidates as c
    join images as i using (source, part, sample_id)
    left join texts as t using (source, part, sha256)
    left join classes as s using (wnid)
)

select * from final
