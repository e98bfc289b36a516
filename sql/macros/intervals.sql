-- The Wilson interval of a recall, 95%: as `laionet_assets/stats/intervals.py` computes it, for n >= 1.

-- 97.5% quantile of the standard normal distribution: two-sided 95%.
create macro z_95() as 1.959963984540054e0;

-- What the published code turns the width of a 95% interval into a standard error with.
create macro z_published() as 1.96e0;

create macro wilson_center(correct, n) as
    (correct / n + z_95() * z_95() / (2 * n)) / (1 + z_95() * z_95() / n);

create macro wilson_half_width(correct, n) as
    z_95() * sqrt(correct / n * (1 - correct / n) / n + z_95() * z_95() / (4 * n::double * n))
    / (1 + z_95() * z_95() / n);

create macro wilson_low(correct, n) as
    case when correct = 0 then 0e0 else wilson_center(correct, n) - wilson_half_width(correct, n) end;

create macro wilson_high(correct, n) as
    case when correct = n then 1e0 else wilson_center(correct, n) + wilson_half_width(correct, n) end;

-- Standard error of a recall as published: half the width of its interval over 1.96.
create macro wilson_se(correct, n) as (wilson_high(correct, n) - wilson_low(correct, n)) / 2 / z_published();
