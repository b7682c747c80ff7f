{# Keys whose amount here is not their amount there, to the last digit. #}
{% test sums_match(model, amount, key, to, to_amount) %}
select
    coalesce(here.{{ key }}, there.{{ key }}) as {{ key }},
    here.amount as amount,
    there.amount as to_amount
from (select {{ key }}, sum({{ amount }}) as amount from {{ model }} group by {{ key }}) as here
full join (select {{ key }}, sum({{ to_amount }}) as amount from {{ to }} group by {{ key }}) as there
    on here.{{ key }} = there.{{ key }}
where coalesce(here.amount, 0) <> coalesce(there.amount, 0)
{% endtest %}
