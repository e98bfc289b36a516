-- Why a recipe does not hold a picture to be safe, by what its source says; null if it does.
create macro unsafe_because(nsfw, allowed_tags, punsafe, max_punsafe) as case
    when not list_contains(allowed_tags, coalesce(nsfw, 'UNKNOWN'))
        then case when nsfw is null then 'nsfw_unknown' else 'nsfw_tag' end
    when punsafe > max_punsafe then 'punsafe'
end;

-- The reasons for which core.selection and core.selection_seen drop a row, in the order in which they are looked for;
-- 'none' stands for a row that neither drops.
create macro reasons() as [
    'several_classes', 'nsfw_unknown', 'nsfw_tag', 'punsafe', 'no_similarity', 'below_threshold',
    'removed', 'name_in_image', 'no_image_similarity', 'below_image_threshold',
    'none'
];

-- What two rows have in common that publish the same address and the same caption; null where one is missing.
create macro copy_key(url, caption) as md5(length(url) || ':' || url || caption);

-- The stage of the funnel at which a reason drops a row.
create macro stage_of(reason) as case reason
    when 'quarantined' then 'admitted'
    when 'no_lemma' then 'matched'
    when 'several_classes' then 'single_label'
    when 'nsfw_unknown' then 'safe'
    when 'nsfw_tag' then 'safe'
    when 'punsafe' then 'safe'
    when 'no_similarity' then 'similar'
    when 'below_threshold' then 'similar'
    when 'removed' then 'not_removed'
    when 'name_in_image' then 'name_in_image'
    when 'no_image_similarity' then 'image_similar'
    when 'below_image_threshold' then 'image_similar'
    when 'duplicate' then 'distinct'
    when 'beyond_top_k' then 'top_k'
end;

-- What a seeded draw of samples is sorted by: the same for a sample whatever else there is, and in every version of
-- DuckDB. Draws for different purposes are independent.
create macro drawn_by(purpose, source, sample_id) as md5('20230627/' || purpose || '/' || source || '/' || sample_id);
