-- Why a recipe drops a candidate, the first reason in the order of the published pipeline; null when it does not.
create macro dropped_by(classes, multi_label, nsfw, allowed_tags, punsafe, max_punsafe, similarity, text_threshold) as
    case
        when multi_label = 'drop' and classes > 1 then 'several_classes'
        when not list_contains(allowed_tags, coalesce(nsfw, 'UNKNOWN'))
            then case when nsfw is null then 'nsfw_unknown' else 'nsfw_tag' end
        when punsafe > max_punsafe then 'punsafe'
        when similarity is null then 'no_similarity'
        when similarity <= text_threshold then 'below_threshold'
    end;

-- The stage of the funnel at which a reason drops a row.
create macro stage_of(reason) as
    case reason
        when 'several_classes' then 'single_label'
        when 'nsfw_unknown' then 'safe'
        when 'nsfw_tag' then 'safe'
        when 'punsafe' then 'safe'
        when 'no_similarity' then 'similar'
        when 'below_threshold' then 'similar'
        when 'beyond_top_k' then 'top_k'
    end;
