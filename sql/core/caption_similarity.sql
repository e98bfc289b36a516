-- core.caption_similarity: one row per encoder, sample and class of its caption
with candidates as (
    select distinct source, part, sample_id, wnid, caption_id from core.candidates
),

captions as (
    select encoder, model, source, part, caption_id, embedding from core.caption_embeddings
),

queries as (
    select encoder, model, wnid, embedding from core.query_embeddings
),

encoders as (
    select distinct encoder, model from queries
),

-- left joins lose no candidate, and keep the planner from pairing every caption with every query of an encoder first;
-- the query is joined to the caption, so that it comes after it: rows that wait for their caption spill without vectors
paired as (
    select
        encoders.encoder,
        c.source,
        c.part,
        c.sample_id,
        c.wnid,
        list_cosine_similarity(captions.embedding, queries.embedding)::double as similarity,
    from candidates as c
    cross join encoders
    left join captions using (encoder, model, source, part, caption_id)
    left join queries
        on queries.encoder = captions.encoder and queries.model = captions.model and queries.wnid = c.wnid
),

-- the cosine of a zero vector is nan, which DuckDB holds to be above every threshold
final as (
    select
        encoder,
        source,
        part,
        sample_id,
        wnid,
        case when not isnan(similarity) then similarity end as similarity,
    from paired
)

select * from final
