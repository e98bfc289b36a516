-- core.label_doubts: one row per image set, picture that takes part and class
with image_labels as (
    select image_set, image_id, wnid, source, sample_id from core.image_labels where is_admitted
),

recipes as (
    select recipe, encoder from raw.recipes
),

predictors as (
    select model, is_zero_shot from raw.predictors
),

correctness as (
    select image_set, image_id, wnid, model, top_5_is_correct from core.correctness
),

caption_senses as (
    select encoder, source, sample_id, wnid, is_nearer from core.caption_senses
),

-- zero-shot models where there are any: they have not learnt from ImageNet
judges as (
    select model from predictors
    where is_zero_shot or not (select coalesce(bool_or(p.is_zero_shot), false) from predictors as p)
),

judged as (
    select image_set, image_id, wnid, bool_or(top_5_is_correct) as is_found
    from correctness
    semi join judges using (model)
    where top_5_is_correct is not null
    group by all
),

-- what more judges say than not
verdicts as (
    select
        recipe as image_set,
        source,
        sample_id,
        wnid,
        sign(count_if(verdict = 'no') - count_if(verdict = 'yes')) as noes,
    from core.judgements
    group by all
),

final as (
    select
        l.image_set,
        l.image_id,
        l.wnid,
        not j.is_found as is_disagreed,
        s.is_nearer as is_other_sense,
        case when v.noes <> 0 then v.noes > 0 end as is_judged_wrong,
    from image_labels as l
    left join judged as j using (image_set, image_id, wnid)
    left join recipes as r on r.recipe = l.image_set
    left join caption_senses as s
        on s.encoder = r.encoder and s.source = l.source and s.sample_id = l.sample_id and s.wnid = l.wnid
    left join verdicts as v
        on v.image_set = l.image_set and v.source = l.source and v.sample_id = l.sample_id and v.wnid = l.wnid
)

select * from final
