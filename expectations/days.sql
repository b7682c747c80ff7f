-- Statements of expectations/days.py, each under its name.

-- name: judged
select day_date, count_orders, count_guest_orders, product_amount::double precision, is_usual
from ops.judged_days
order by day_date

-- name: days
-- Sales by day: the last weeks, and all days from the first that a file of this build touched.
select
    ordered_date,
    count(*),
    count(*) filter (where is_guest),
    sum(product_amount)::double precision
from marts.fct_orders
where
    ordered_date < %(as_of_date)s
    and ordered_date >= least(
        %(since)s,
        (select min(first_touched_date) from intermediate.int_changed_files)
    )
group by ordered_date
order by ordered_date

-- name: prices
-- Price level of a day: the median over its orders of the median over an order's lines.
with

usual_prices as (

    select
        product_id,
        percentile_cont(0.5) within group (order by unit_price_amount) as unit_price_amount
    from marts.fct_order_items
    where ordered_date >= %(first)s::date - %(price_days)s and ordered_date < %(first)s
    group by product_id
    having percentile_cont(0.5) within group (order by unit_price_amount) > 0

),

orders as (

    select
        items.ordered_date,
        items.order_id,
        percentile_cont(0.5) within group (
            order by items.unit_price_amount / usual_prices.unit_price_amount
        ) as price_level
    from marts.fct_order_items as items
    inner join usual_prices on items.product_id = usual_prices.product_id
    where items.ordered_date = any(%(days)s)
    group by items.ordered_date, items.order_id

)

select ordered_date, percentile_cont(0.5) within group (order by price_level)
from orders
group by ordered_date
having count(*) >= 5

-- name: repeats
-- For each new day, the earlier day with most of the same baskets. Orders with one line are left
-- out: many customers buy the same single product.
with

baskets as (

    select
        ordered_date,
        md5(string_agg(
            product_id || ' ' || units || ' ' || unit_price_amount, ',' order by product_id, units
        )) as basket
    from marts.fct_order_items
    where
        ordered_date >= %(first)s::date - %(repeat_days)s
        and ordered_date <= (select max(day) from unnest(%(days)s::date[]) as days (day))
    group by ordered_date, order_id
    having count(*) >= 2

),

new_baskets as (

    select ordered_date, basket, count(*) over (partition by ordered_date) as count_baskets
    from baskets
    where ordered_date = any(%(days)s)

),

shared as (

    select
        new_baskets.ordered_date,
        earlier.ordered_date as repeated_date,
        count(*)::double precision / min(new_baskets.count_baskets) as rate
    from new_baskets
    inner join (select distinct ordered_date, basket from baskets) as earlier
        on
            new_baskets.basket = earlier.basket
            and earlier.ordered_date < new_baskets.ordered_date
            and earlier.ordered_date >= new_baskets.ordered_date - %(repeat_days)s
    where new_baskets.count_baskets >= 5
    group by new_baskets.ordered_date, earlier.ordered_date

)

select distinct on (ordered_date) ordered_date, repeated_date, rate
from shared
order by ordered_date, rate desc, repeated_date desc

-- name: refused
-- Number of files that a person or this gate has removed in this build.
select count(*)
from intermediate.int_changed_files as changed
inner join ops.landed_files as files on changed.file_id = files.file_id
where not changed.is_accepted and files.status in ('refused', 'held')

-- name: totals
-- The shop's own totals by day; if a day was landed several times, the last one.
select distinct on ({day}) {day}, {orders}, {amount}
from {table}
inner join ops.landed_files on landed_files.file_id = _file_id
where
    landed_files.status = 'accepted'
    and {day} >= %(first)s and {day} < %(as_of_date)s
    and {orders} is not null and {amount} is not null
order by {day}, _file_id desc, _line desc

-- name: gross
select ordered_date, count(*), sum(product_amount + charge_amount)
from marts.fct_orders
where ordered_date >= %(first)s and ordered_date < %(as_of_date)s
group by ordered_date

-- name: batches
select distinct files.batch_id
from ops.landed_files as files
where
    (
        files.status = 'held'
        or (files.status = 'accepted' and files.status_reason like 'passed the gate%%')
    )
    and files.file_id in (
        select file_id from marts.fct_orders where ordered_date = any(%(days)s)
        union
        select file_id from intermediate.int_changed_files where is_accepted
    )
order by files.batch_id

-- name: remember
insert into ops.judged_days (day_date, count_orders, count_guest_orders, product_amount, is_usual)
values (%s, %s, %s, %s, %s)
on conflict (day_date) do update set
    count_orders = excluded.count_orders,
    count_guest_orders = excluded.count_guest_orders,
    product_amount = excluded.product_amount,
    is_usual = excluded.is_usual,
    judged_at = now()
