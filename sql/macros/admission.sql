-- Why a fetched picture does not take part under a profile; null if it does. The rule of
-- laionet_assets/pictures/admission.py, read off the columns: paper takes RGB, corrected every mode with a meaning
-- as RGB; both want 100 pixels. A sample that nobody asked for has no status.
create macro rejection(status, error_class, profile, mode, width, height) as case
    when status is distinct from 'success' then coalesce(error_class, status, 'not_asked_for')
    when mode is distinct from 'RGB' and (profile = 'paper' or mode is null or mode in ('I', 'F', 'LAB'))
        then 'not_rgb'
    when width::bigint * height < 100 then 'too_small'
end;

-- The profiles under which a prediction counts.
create macro profiles_of(profile) as case when profile = 'both' then ['paper', 'corrected'] else [profile] end;
