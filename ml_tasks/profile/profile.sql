-- One row per customer with an order before {as_of_date}; nothing of that day or later is read.
-- Families are those of the products now.
with

orders as (

    select
        orders.*,
        orders.ordered_at at time zone shop.time_zone as ordered_at_local

    from marts.fct_orders as orders
    cross join ops.shop as shop
    where orders.customer_id is not null and orders.ordered_date < {as_of_date}

),

of_orders as (

    select
        customer_id,
        min(ordered_date) as first_order_date,
        max(ordered_date) as last_order_date,
        count(*) as count_orders,
        count(distinct ordered_date) as count_order_days,
        count(*) filter (where ordered_date >= {as_of_date} - 28) as count_orders_28d,
        count(*) filter (
            where ordered_date >= {as_of_date} - 56 and ordered_date < {as_of_date} - 28
        ) as count_orders_28d_before,
        count(*) filter (where ordered_date >= {as_of_date} - 90) as count_orders_90d,
        count(*) filter (where ordered_date >= {as_of_date} - 365) as count_orders_365d,
        sum(product_amount) as gross_spend_amount,
        sum(product_amount) filter (where ordered_date >= {as_of_date} - 28)
            as gross_spend_amount_28d,
        sum(product_amount) filter (where ordered_date >= {as_of_date} - 365)
            as gross_spend_amount_365d,
        max(product_amount) as max_order_amount,
        sum(units) as units,
        sum(count_items) as count_items,
        sum(charge_amount) as charge_amount,
        mode() within group (order by country) as country,
        mode() within group (order by extract(isodow from ordered_at_local)::integer) as weekday,
        mode() within group (order by extract(hour from ordered_at_local)::integer) as hour_of_day,
        avg((extract(isodow from ordered_at_local) >= 6)::integer)::double precision
            as weekend_share_of_orders

    from orders
    group by customer_id

),

-- how often the most frequent weekday and hour occur
of_times as (

    select
        orders.customer_id,
        avg((extract(isodow from orders.ordered_at_local) = of_orders.weekday)::integer)
            ::double precision as weekday_share,
        avg((extract(hour from orders.ordered_at_local) = of_orders.hour_of_day)::integer)
            ::double precision as hour_share

    from orders
    inner join of_orders using (customer_id)
    group by orders.customer_id

),

lines as (

    select
        items.customer_id,
        items.product_id,
        coalesce(products.product_family, 'unknown') as product_family,
        items.units,
        items.unit_price_amount,
        items.line_amount

    from marts.fct_order_items as items
    left join marts.dim_products as products using (product_id)
    where items.ordered_date < {as_of_date}

),

-- usual prices: guests' orders count, too
of_products as (

    select
        product_id,
        percentile_disc(0.5) within group (order by unit_price_amount) as usual_price_amount

    from lines
    group by product_id

),

of_families as (

    select
        lines.product_family,
        sum(lines.line_amount) as line_amount,
        sum(lines.units) as units,
        sum(lines.line_amount) / sum(sum(lines.line_amount)) over () as share_of_shop

    from lines
    group by lines.product_family

),

of_lines as (

    select
        lines.customer_id,
        count(distinct lines.product_id) as count_products,
        count(distinct lines.product_family) as count_families,
        1 - count(distinct lines.product_id)::double precision / count(*) as repeated_share_of_lines,
        (sum(lines.line_amount) / sum(lines.units * of_families.line_amount / of_families.units))
            ::double precision as price_level,
        coalesce(
            sum(lines.line_amount) filter (
                where lines.unit_price_amount <= {reduced_below} * of_products.usual_price_amount
            ), 0
        )::double precision / sum(lines.line_amount)::double precision as reduced_share_of_spend

    from lines
    inner join of_products using (product_id)
    inner join of_families using (product_family)
    where lines.customer_id is not null
    group by lines.customer_id

),

family_shares as (

    select
        lines.customer_id,
        lines.product_family,
        sum(lines.line_amount) / sum(sum(lines.line_amount)) over (partition by lines.customer_id)
            as share_of_spend,
        row_number() over (
            partition by lines.customer_id
            order by sum(lines.line_amount) desc, lines.product_family collate "C"
        ) as family_rank

    from lines
    where lines.customer_id is not null
    group by lines.customer_id, lines.product_family

),

leanings as (

    select
        family_shares.customer_id,
        max(family_shares.product_family) filter (where family_shares.family_rank = 1)
            as favourite_family,
        max(family_shares.share_of_spend) filter (where family_shares.family_rank = 1)
            as favourite_family_share,
        jsonb_object_agg(
            family_shares.product_family, round(family_shares.share_of_spend, 4)
        ) filter (where family_shares.family_rank <= 5) as family_shares,
        (array_agg(
            family_shares.product_family
            order by
                family_shares.share_of_spend - of_families.share_of_shop desc,
                family_shares.product_family collate "C"
        ))[1] as leaning_family,
        max(family_shares.share_of_spend - of_families.share_of_shop) as leaning

    from family_shares
    inner join of_families using (product_family)
    group by family_shares.customer_id

),

refunds as (

    select
        customer_id,
        count(distinct refund_id) as count_refunds,
        sum(refund_amount) as refund_amount,
        coalesce(sum(refund_amount) filter (where refunded_date >= {as_of_date} - 28), 0)
            as refund_amount_28d,
        coalesce(sum(refund_amount) filter (where refunded_date >= {as_of_date} - 365), 0)
            as refund_amount_365d,
        max(refunded_date) as last_refund_date

    from marts.fct_refunds
    where customer_id is not null and refunded_date < {as_of_date}
    group by customer_id

)

select
    of_orders.customer_id,
    of_orders.country,
    of_orders.first_order_date,
    of_orders.last_order_date,
    {as_of_date} - of_orders.first_order_date as days_since_first_order,
    {as_of_date} - of_orders.last_order_date as days_since_last_order,
    of_orders.count_orders::integer as count_orders,
    of_orders.count_order_days::integer as count_order_days,
    of_orders.count_orders_90d::integer as count_orders_90d,
    of_orders.count_orders_365d::integer as count_orders_365d,
    (of_orders.last_order_date - of_orders.first_order_date)::double precision
    / nullif(of_orders.count_order_days - 1, 0) as avg_days_between_orders,
    round(of_orders.gross_spend_amount, 2) as gross_spend_amount,
    round(of_orders.gross_spend_amount - coalesce(refunds.refund_amount, 0), 2)
        as net_spend_amount,
    round(
        coalesce(of_orders.gross_spend_amount_365d, 0) - coalesce(refunds.refund_amount_365d, 0), 2
    ) as net_spend_amount_365d,
    round(of_orders.gross_spend_amount / of_orders.count_orders, 2) as avg_order_amount,
    round(of_orders.max_order_amount, 2) as max_order_amount,
    (of_orders.units / of_orders.count_orders)::double precision as avg_units_per_order,
    of_orders.count_items::double precision / of_orders.count_orders as avg_lines_per_order,
    round(of_orders.charge_amount, 2) as charge_amount,
    of_orders.weekday as favourite_weekday,
    of_times.weekday_share as favourite_weekday_share,
    of_orders.hour_of_day as favourite_hour,
    of_times.hour_share as favourite_hour_share,
    of_orders.weekend_share_of_orders,
    coalesce(of_lines.count_products, 0)::integer as count_products,
    coalesce(of_lines.count_families, 0)::integer as count_families,
    of_lines.repeated_share_of_lines,
    leanings.favourite_family,
    leanings.favourite_family_share::double precision as favourite_family_share,
    leanings.family_shares,
    leanings.leaning_family,
    leanings.leaning::double precision as leaning_share,
    of_lines.price_level,
    of_lines.reduced_share_of_spend,
    coalesce(refunds.count_refunds, 0)::integer as count_refunds,
    round(coalesce(refunds.refund_amount, 0), 2) as refund_amount,
    (coalesce(refunds.refund_amount, 0) / nullif(of_orders.gross_spend_amount, 0))
        ::double precision as refund_rate,
    refunds.last_refund_date,
    of_orders.count_orders_28d::integer as count_orders_28d,
    of_orders.count_orders_28d_before::integer as count_orders_28d_before,
    round(
        coalesce(of_orders.gross_spend_amount_28d, 0) - coalesce(refunds.refund_amount_28d, 0), 2
    ) as net_spend_amount_28d,
    array_remove(array[
        case when of_orders.first_order_date >= {as_of_date} - 28 then 'first order' end,
        case
            when of_orders.count_orders_28d > 0 and of_orders.first_order_date < {as_of_date} - 28
                then 'ordered'
        end,
        case when refunds.last_refund_date >= {as_of_date} - 28 then 'refunded' end
    ], null)::text[] as events_28d,
    'scored' as score_status,
    null::text as score_reason

from of_orders
inner join of_times using (customer_id)
left join of_lines using (customer_id)
left join leanings using (customer_id)
left join refunds using (customer_id)
