-- Why a recipe drops a candidate by what its source says and by its caption, the first reason in the order of the
-- published pipeline; null when it does not.
create macro dropped_by(classes, multi_label, nsfw, allowed_tags, punsafe, max_punsafe, similarity, text_threshold) as
    case
        when multi_label = 'drop' and classes > 1 then 'several_classes'
        when not list_contains(allowed_tags, coalesce(nsfw, 'UNKNOWN'))
            then case when nsfw is null then 'nsfw_unknown' else 'nsfw_tag' end
        when punsafe > max_punsafe then 'punsafe'
        when similarity is null then 'no_similarity'
        when similarity <= text_threshold then 'below_threshold'
    end;

-- Whether the class is named in the picture by the rule of a recipe's matching profile; null where no text was read.
create macro has_name(matching, has_name_paper, has_name_corrected) as
    case matching when 'paper' then has_name_paper when 'corrected' then has_name_corrected end;

-- Why a recipe drops a row that `dropped_by` admits, before the most similar of a class are taken; null when it does not.
create macro dropped_later(is_removed, drop_text_in_image, has_name_in_image) as
    case
        when is_removed then 'removed'
        when drop_text_in_image and has_name_in_image then 'name_in_image'
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
        when 'removed' then 'not_removed'
        when 'name_in_image' then 'name_in_image'
        when 'beyond_top_k' then 'top_k'
    end;
