-- One row per product sold before the newest date that every question shown here has published.
-- depends_on: {{ ref('demand') }}
with

{{ rows_shown_in('product_outlook', more=['demand']) }}

-- the weeks ahead in one row
demand_ahead as (

    select
        product_id,
        max(demand_units_p10) filter (where horizon_weeks = 1) as demand_units_p10_next_week,
        max(demand_units_p50) filter (where horizon_weeks = 1) as demand_units_p50_next_week,
        max(demand_units_p90) filter (where horizon_weeks = 1) as demand_units_p90_next_week,
        sum(demand_units_mean) as demand_units_mean_8w,
        min(score_status) as demand_score_status,
        min(score_reason) as demand_score_reason

    from demand
    group by product_id

)

select
    {{- columns_shown_in('product_outlook', {
        'as_of_date': 'products.as_of_date',
        'product_id': 'products.product_id',
        'demand_units_p10_next_week': 'demand_ahead.demand_units_p10_next_week',
        'demand_units_p50_next_week': 'demand_ahead.demand_units_p50_next_week',
        'demand_units_p90_next_week': 'demand_ahead.demand_units_p90_next_week',
        'demand_units_mean_8w': 'demand_ahead.demand_units_mean_8w',
        'demand_amount_mean_8w':
            '(demand_ahead.demand_units_mean_8w * products.avg_unit_price_amount_91d)::numeric(18, 2)',
        'demand_score_status': 'demand_ahead.demand_score_status',
        'demand_score_reason': 'demand_ahead.demand_score_reason'
    }) }}

from products
left join demand_ahead using (product_id)
{%- for one in tables_shown_in('product_outlook') if one.table != 'products' %}
left join {{ one.table }} using (as_of_date, product_id)
{%- endfor %}
